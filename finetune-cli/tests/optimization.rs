//! A step of any training: the sum over its parts.

use std::cell::RefCell;

use autograd::{Param, Tensor, Var};
use finetune::args::RecipeArgs;
use finetune::optimization::{BatchSize, Optimization, Part};
use nn::{Dropout, Pass};

const N: usize = 64;

/// SGD at a constant rate of 1, neither clipped nor decayed: a step is minus the gradient.
fn recipe(parts: u32) -> RecipeArgs {
    use finetune::args::{OptimizerName, ScheduleName};
    let mut recipe = RecipeArgs { learning_rate: 1.0, ..RecipeArgs::default() };
    let args = &mut recipe.optimization;
    (args.optimizer, args.lr_scheduler_type) = (OptimizerName::Sgd, ScheduleName::Constant);
    (args.warmup_ratio, args.max_grad_norm, args.weight_decay) = (0.0, 0.0, 0.0);
    args.gradient_accumulation_steps = parts;
    recipe
}

fn weights() -> Param {
    Param::new("w", Tensor::zeros(&[N]))
}

/// A part whose loss is `slope` times the sum of the weights, some of which are dropped: which, is noted.
fn part<'p>(w: &'p Param, weight: f64, slope: f64, masks: &'p RefCell<Vec<Vec<bool>>>) -> Part<'p> {
    let loss = move |pass: &Pass| {
        let ones = Var::constant(Tensor::full(1.0, &[N]));
        let dropped = Dropout::new(0.5).forward(pass, &ones)?;
        let kept = dropped.value().to_f64_vec()?.iter().map(|&x| x != 0.0).collect();
        masks.borrow_mut().push(kept);
        Ok(pass.param(w).sum()?.scale(slope)?)
    };
    Part { size: BatchSize { examples: 1, tokens: 2 }, weight, loss: Box::new(loss) }
}

#[test]
fn a_step_is_down_the_mean_over_its_parts() {
    let (w, masks) = (weights(), RefCell::default());
    let recipe = recipe(3);
    let mut optimization = Optimization::new(vec![w.clone()], &recipe.optimization, 1.0, 10);
    let parts = [(3.0, 1.0), (1.0, 5.0), (4.0, -0.5)];
    let parts = parts.map(|(weight, slope)| part(&w, weight, slope, &masks));
    let log = optimization.step(parts.into()).unwrap().expect("a log");
    // (3 * 1 + 1 * 5 + 4 * -0.5) / 8 = 0.75 for every weight; the loss at 0 is 0.
    assert_eq!((log.step, log.loss), (1, 0.0));
    assert!((log.grad_norm - 0.75 * 8.0).abs() < 1e-6, "{}", log.grad_norm);
    assert_eq!((log.size.examples, log.size.tokens), (3, 6));
    let moved = w.value().to_f64_vec().unwrap();
    assert!(moved.iter().all(|&w| (w + 0.75).abs() < 1e-7), "{moved:?}");
    // At -0.75 the losses are 64 * -0.75 times the slopes: their mean is 0.75 times that.
    let parts = [(3.0, 1.0), (1.0, 5.0), (4.0, -0.5)];
    let parts = parts.map(|(weight, slope)| part(&w, weight, slope, &masks));
    let log = optimization.step(parts.into()).unwrap().expect("a log");
    assert!((log.loss + 0.75 * 0.75 * 64.0).abs() < 1e-5, "{}", log.loss);
}

/// Which units are dropped is a function of the seed and the number of the part: no two of the same run agree, also
/// where a step has fewer parts than others, and another run repeats them.
#[test]
fn every_part_drops_units_of_its_own() {
    let run = || {
        let (w, masks) = (weights(), RefCell::default());
        let recipe = recipe(3);
        let mut optimization = Optimization::new(vec![w.clone()], &recipe.optimization, 1.0, 10);
        for parts in [3, 2, 3, 1] {
            let parts = (0..parts).map(|_| part(&w, 1.0, 1.0, &masks)).collect();
            optimization.step(parts).unwrap();
        }
        masks.into_inner()
    };
    let masks = run();
    assert_eq!(masks.len(), 9);
    for (i, mask) in masks.iter().enumerate() {
        assert!(!masks[..i].contains(mask), "part {i}");
    }
    assert_eq!(run(), masks);
}
