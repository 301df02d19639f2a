//! `adamw` on a GPU.

use tensor::ops::adamw::{self, Clip, Step, Update};
use tensor::ops::{elementwise, linear};
use tensor::{DType, Device, Tensor};
use tests::gpu::{assert_close, device, normal, odd_view, wide};

/// Of one piece, and of several with a remainder.
const SIZES: [usize; 4] = [1, 7, 1000, 70001];

const STEPS: u64 = 4;

/// Every tensor has numbers of its own.
fn settings(tensor: usize, step: u64) -> Step {
    Step {
        lr: 1e-2 / (1 + tensor) as f64,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: [0.0, 0.01, 0.1, 0.3][tensor],
        step: step + tensor as u64,
        grad_scale: 0.5 + tensor as f64,
    }
}

/// The parameters of a model, with moments.
struct Model(Vec<[Tensor; 3]>);

impl Model {
    fn new() -> Self {
        let zeros = |n: usize| Tensor::zeros(&[n]);
        let with_moments = |(i, &n)| [normal(&[n], i, DType::F32), zeros(n), zeros(n)];
        Self((0..).zip(&SIZES).map(with_moments).collect())
    }

    fn map(&self, f: impl Fn(&Tensor) -> Tensor) -> Self {
        Self(self.0.iter().map(|tensors| tensors.each_ref().map(&f)).collect())
    }

    fn update(&mut self, step: u64, grads: &[Tensor], clip: Option<Clip>) {
        let slots = self.0.iter_mut().zip(grads).enumerate();
        let mut updates: Vec<Update> = slots
            .map(|(i, ([w, m, v], g))| Update { step: settings(i, step), w, g, m, v })
            .collect();
        adamw::update_all(&mut updates, clip).unwrap();
    }
}

fn gradients(step: u64) -> Vec<Tensor> {
    (0..).zip(SIZES).map(|(i, n)| normal(&[n], 100 * step + i, DType::F32)).collect()
}

/// Some updates, with gradients clipped to that norm, on the GPU against the definition on the host.
fn check(gpu: &Device, max_norm: Option<f64>, upload: impl Fn(&Tensor) -> Tensor) {
    let model = Model::new();
    let (mut there, mut want) = (model.map(|t| t.to_device(gpu).unwrap()), model.map(wide));
    for step in 1..=STEPS {
        let grads = gradients(step);
        let [on_gpu, wide] = [&upload as &dyn Fn(&Tensor) -> Tensor, &wide]
            .map(|f| grads.iter().map(f).collect::<Vec<Tensor>>());
        let [norm, want_norm] =
            [&on_gpu, &wide].map(|g| adamw::norm(&g.iter().collect::<Vec<_>>()).unwrap());
        assert_close("norm", &norm, &want_norm.to_f64_vec().unwrap());
        there.update(step, &on_gpu, max_norm.map(|max_norm| Clip { norm: &norm, max_norm }));
        want.update(step, &wide, max_norm.map(|max_norm| Clip { norm: &want_norm, max_norm }));
    }
    for (got, want) in there.0.iter().zip(&want.0) {
        for (name, got, want) in [("w", 0), ("m", 1), ("v", 2)].map(|(n, i)| (n, &got[i], &want[i]))
        {
            let what = format!("{name} {:?}, max_norm {max_norm:?}", got.shape());
            assert_close(&what, got, &want.to_f64_vec().unwrap());
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn equals_the_definition() {
    let gpu = device();
    for max_norm in [None, Some(1.0), Some(1e6)] {
        check(&gpu, max_norm, |g| g.to_device(&gpu).unwrap());
    }
    check(&gpu, Some(1.0), |g| odd_view(g, &gpu));
}

/// One launch for all, or one each: the same bits.
#[test]
#[ignore = "needs a GPU"]
fn alone_and_together_agree() {
    let gpu = device();
    let model = Model::new();
    let [mut together, mut alone] = [0, 1].map(|_| model.map(|t| t.to_device(&gpu).unwrap()));
    let grads: Vec<Tensor> = gradients(1).iter().map(|g| g.to_device(&gpu).unwrap()).collect();
    together.update(1, &grads, None);
    for (i, ([w, m, v], g)) in alone.0.iter_mut().zip(&grads).enumerate() {
        adamw::update(settings(i, 1), w, g, (m, v)).unwrap();
    }
    for (a, b) in together.0.iter().flatten().zip(alone.0.iter().flatten()) {
        assert_eq!(a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap());
    }
}

#[test]
#[ignore = "needs a GPU"]
fn a_norm_of_nan_is_seen() {
    let gpu = device();
    let mut model = Model::new().map(|t| t.to_device(&gpu).unwrap());
    let mut grads: Vec<Tensor> = gradients(1).iter().map(|g| g.to_device(&gpu).unwrap()).collect();
    grads[0] = Tensor::full(f32::NAN, &[1]).to_device(&gpu).unwrap();
    let norm = adamw::norm(&grads.iter().collect::<Vec<_>>()).unwrap();
    assert!(norm.item().unwrap().is_nan());
    model.update(1, &grads, Some(Clip { norm: &norm, max_norm: 1.0 }));
    assert!(model.0[2][0].to_vec::<f32>().unwrap().iter().all(|w| w.is_nan()));
}

/// For other update rules than AdamW; a norm below the limit, above it, and NaN.
#[test]
#[ignore = "needs a GPU"]
fn the_factor_of_clipping_equals_the_definition() {
    let gpu = device();
    for norm in [0.5f32, 3.0, f32::NAN] {
        let there = Tensor::full(norm, &[]).to_device(&gpu).unwrap();
        let factor = adamw::clip_scalar(Clip { norm: &there, max_norm: 1.5 }).unwrap();
        assert_eq!(factor.device(), gpu);
        let (got, want) = (factor.item().unwrap(), (1.5 / (f64::from(norm) + 1e-6)).min(1.0));
        match norm.is_nan() {
            true => assert!(got.is_nan()),
            false => assert!((got - want).abs() < 1e-7, "{got} for {norm}"),
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn shared_weights_are_copied_first() {
    let gpu = device();
    let [mut w, g, mut m] =
        [0, 1, 2].map(|i| normal(&[33], i, DType::F32).to_device(&gpu).unwrap());
    let mut v = w.zeros_like().unwrap();
    let (kept, before) = (w.clone(), w.to_vec::<f32>().unwrap());
    adamw::update(settings(1, 1), &mut w, &g, (&mut m, &mut v)).unwrap();
    assert_eq!(kept.to_vec::<f32>().unwrap(), before);
    assert_ne!(w.to_vec::<f32>().unwrap(), before);
}

#[test]
#[ignore = "needs a GPU"]
fn tables_are_updated_whole() {
    let gpu = device();
    let table = Tensor::zeros_on(&[5, 3], &gpu).unwrap();
    assert!(adamw::lazy(&table, None).unwrap().is_none());
    assert!(adamw::lazy(&Tensor::zeros(&[5, 3]), None).unwrap().is_some());
}

#[test]
#[ignore = "needs a GPU"]
fn weights_that_were_rounded_are_rounded_again() {
    let gpu = device();
    // A product in bf16 leaves a copy of the weights in bf16 beside them. 33 columns: no pack of four fits at the end.
    let x = normal(&[5, 33], 1, DType::BF16).to_device(&gpu).unwrap();
    let [mut w, g, mut m] =
        [2, 3, 4].map(|i| normal(&[7, 33], i, DType::F32).to_device(&gpu).unwrap());
    let mut v = w.zeros_like().unwrap();
    let product = |w: &Tensor| linear::forward(&x, w, None).unwrap().to_f64_vec().unwrap();
    let before = product(&w);
    adamw::update(settings(1, 1), &mut w, &g, (&mut m, &mut v)).unwrap();
    let fresh = w.to_device(&Device::Cpu).unwrap().to_device(&gpu).unwrap();
    assert_eq!(product(&w), product(&fresh));
    assert_ne!(product(&w), before);
    // Written by anything else, the copy is gone.
    elementwise::add_assign(&mut w, &g).unwrap();
    let fresh = w.to_device(&Device::Cpu).unwrap().to_device(&gpu).unwrap();
    assert_eq!(product(&w), product(&fresh));
}
