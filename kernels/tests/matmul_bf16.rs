//! The matrix product with operands or output of bf16, on every instruction set of the machine.

mod bf16_products;

use kernels::testing::each_isa;

#[test]
fn every_size() {
    each_isa(bf16_products::every_size);
}

#[test]
fn every_depth_type_and_layout() {
    each_isa(bf16_products::every_depth_type_and_layout);
}

#[test]
fn every_store() {
    each_isa(bf16_products::every_store);
}

#[test]
fn threads_leave_no_trace() {
    each_isa(bf16_products::threads_leave_no_trace);
}

#[test]
fn nan_and_infinity_pass_through() {
    each_isa(bf16_products::nan_and_infinity_pass_through);
}

#[test]
fn operands_with_gaps() {
    each_isa(bf16_products::operands_with_gaps);
}

#[test]
fn rows_do_not_depend_on_their_neighbours() {
    each_isa(bf16_products::rows_do_not_depend_on_their_neighbours);
}
