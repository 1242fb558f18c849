// RUN: lockstep-opt %s --chip tiny -p place-memory{scheme=naive} | filecheck %s
// RUN: lockstep-opt %s --chip tiny -p place-memory{scheme=scheduled},place-memory{scheme=naive} | filecheck %s

// The words of a naive block are in one bank, so reads keep its busy cycles (2) apart; the second block is in the next bank.
// CHECK: flow.buffer @w param in rram stripes 2 segments [0, 8] sides "ww" digest "9f" at ["rram.w0", "rram.w1"] slices [0, 1, 0, 1] bases [0, 0, 1, 1] word_step 2 : tensor<16x8xi8>
// CHECK: flow.trip "load" {
// CHECK-NEXT: flow.read_block @w tile 0 row 8 count 8 rows_per_cycle 2 : !flow.stream<i8, 4, 2, 2>
// CHECK-NEXT: flow.load
flow.program lanes 8 {
  flow.buffer @w param in rram stripes 2 segments [0, 8] sides "ww" digest "9f" : tensor<16x8xi8>
  flow.trip "load" {
    %w = flow.read_block @w tile 0 row 8 count 8 rows_per_cycle 2 : !flow.stream<i8, 4, 1, 2>
    flow.load %w to [0] mode i8 count 8 row 0 : !flow.stream<i8, 4, 1, 2>
  }
}
