//! Tensor maps: what the copy engine of Hopper has to know of a matrix.

use cudarc::driver::sys;

use super::param::MapParam;
use crate::cuda::{Device, Error, Result};

/// Columns of a box: 128 bytes of bf16, the width of the swizzle.
const BOX_COLS: u32 = 64;

/// A row-major matrix of bf16 at an address of the device, read or written in boxes of `box_rows` rows and 64 columns,
/// permuted by 128-byte swizzle.
///
/// `rows` and `cols` are its sizes, `stride` is the distance of rows in elements. The caller has checked that rows
/// start at multiples of 16 bytes.
///
/// # Errors
/// When the driver refuses.
pub(super) fn encode(
    device: &Device,
    address: u64,
    [rows, cols]: [usize; 2],
    stride: usize,
    box_rows: usize,
) -> Result<MapParam> {
    let mut map = sys::CUtensorMap { opaque: [0; 16] };
    let (sizes, strides) = ([cols as u64, rows as u64], [2 * stride as u64]);
    let (shape, steps) = ([BOX_COLS, box_rows as u32], [1, 1]);
    // SAFETY: writes the map; the arrays have the lengths of rank 2: two sizes, one stride, two of the rest.
    let encoded = unsafe {
        sys::cuTensorMapEncodeTiled(
            &mut map,
            sys::CUtensorMapDataType_enum::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
            2,
            address as *mut core::ffi::c_void,
            sizes.as_ptr(),
            strides.as_ptr(),
            shape.as_ptr(),
            steps.as_ptr(),
            sys::CUtensorMapInterleave_enum::CU_TENSOR_MAP_INTERLEAVE_NONE,
            sys::CUtensorMapSwizzle_enum::CU_TENSOR_MAP_SWIZZLE_128B,
            sys::CUtensorMapL2promotion_enum::CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
            sys::CUtensorMapFloatOOBfill_enum::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
        )
    };
    encoded.result().map_err(|error| refused(device, error))?;
    Ok(MapParam(map.opaque))
}

fn refused(device: &Device, error: cudarc::driver::DriverError) -> Error {
    let (call, gpu) = ("cuTensorMapEncodeTiled", device.label());
    Error::Driver { call, gpu, reason: format!("{error:?}") }
}
