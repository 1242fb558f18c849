// RUN: lockstep-opt %s | lockstep-opt | filecheck %s
// RUN: lockstep-opt %s --print-op-generic | lockstep-opt | filecheck %s

// Every operation comes back as it was written, by its own syntax and by the generic one.

// CHECK: flow.program lanes 8 {
// CHECK-NEXT: flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xi8>
// CHECK-NEXT: flow.buffer @w param in rram stripes 2 segments [0, 8] sides "w.e." digest "9f" : tensor<16x16xi8>
// CHECK-NEXT: flow.buffer @"a table" constant in sram stripes 1 segments [0] : tensor<10x8xf16>
// CHECK-NEXT: flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
// CHECK-NEXT: flow.buffer @t.1 temporary in sram stripes 1 segments [0] : tensor<4x1xi32>
// CHECK-NEXT: flow.buffer @s state in sram stripes 1 segments [0] : tensor<f32>
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xi8>
  flow.buffer @w param in rram stripes 2 segments [0, 8] sides "w.e." digest "9f" : tensor<16x16xi8>
  flow.buffer @"a table" constant in sram stripes 1 segments [0] : tensor<10x8xf16>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @t.1 temporary in sram stripes 1 segments [0] : tensor<4x1xi32>
  flow.buffer @s state in sram stripes 1 segments [0] : tensor<f32>

  // CHECK-NEXT: flow.trip "model.lks:3:5: matmul" {
  // CHECK-NEXT: %[[W:.*]] = flow.read_block @w tile 1 row 8 count 8 rows_per_cycle 2 : !flow.stream<i8, 4, 1, 2>
  // CHECK-NEXT: flow.load %[[W]] to [0, 1] mode i8 count 8 row 2 transposed : !flow.stream<i8, 4, 1, 2>
  flow.trip "model.lks:3:5: matmul" {
    %w = flow.read_block @w tile 1 row 8 count 8 rows_per_cycle 2 : !flow.stream<i8, 4, 1, 2>
    flow.load %w to [0, 1] mode i8 count 8 row 2 transposed : !flow.stream<i8, 4, 1, 2>
  }
  // CHECK: flow.trip "" {
  // CHECK-NEXT: flow.swap 0 mode i8f16
  flow.trip "" {
    flow.swap 0 mode i8f16
  }
  // CHECK: flow.trip "feeds" {
  // CHECK-NEXT: %[[A:.*]] = flow.read @x tile 0 row 3 step -1 count 4 : !flow.stream<i8, 4, 1, 1>
  // CHECK-NEXT: flow.feed %[[A]] plane 0 mode i8 depth 8 lane 0 accumulator 4 fresh count 4 : !flow.stream<i8, 4, 1, 1>
  // CHECK-NEXT: %[[S:.*]] = flow.feed %[[A]] plane 1 mode i8 depth 4 lane 4 accumulator 0 count 4
  // CHECK-SAME: : !flow.stream<i8, 4, 1, 1> -> !flow.stream<i32, 4, 1, 4>
  // CHECK-NEXT: %[[F:.*]] = flow.compute "fmul" on "vxm" (%[[S]], 0x3F000000) count 4 every 1
  // CHECK-NEXT: %[[G:.*]] = flow.compute "fsel" on "vxm" (%[[F]], 0x00000000, %[[F]]) count 4 every 1
  // CHECK-NEXT: %[[R:.*]] = flow.compute "reduce" on "sxm.w" (%[[G]]) with op = 1, lanes = 8 count 4 every 1
  // CHECK-NEXT: flow.write %[[R]] to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<f32, 4, 1, 4>
  flow.trip "feeds" {
    %a = flow.read @x tile 0 row 3 step -1 count 4 : !flow.stream<i8, 4, 1, 1>
    flow.feed %a plane 0 mode i8 depth 8 lane 0 accumulator 4 fresh count 4 : !flow.stream<i8, 4, 1, 1>
    %s = flow.feed %a plane 1 mode i8 depth 4 lane 4 accumulator 0 count 4
      : !flow.stream<i8, 4, 1, 1> -> !flow.stream<i32, 4, 1, 4>
    %f = flow.compute "fmul" on "vxm" (%s, 0x3F000000) count 4 every 1
      : (!flow.stream<i32, 4, 1, 4>) -> !flow.stream<f32, 4, 1, 4>
    %g = flow.compute "fsel" on "vxm" (%f, 0, %f) count 4 every 1
      : (!flow.stream<f32, 4, 1, 4>, !flow.stream<f32, 4, 1, 4>) -> !flow.stream<f32, 4, 1, 4>
    %r = flow.compute "reduce" on "sxm.w" (%g) with op = 1, lanes = 8 count 4 every 1
      : (!flow.stream<f32, 4, 1, 4>) -> !flow.stream<f32, 4, 1, 4>
    flow.write %r to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<f32, 4, 1, 4>
  }
  // CHECK: flow.trip "rows" {
  // CHECK-NEXT: %[[I:.*]] = flow.read @t.1 tile 0 row 0 step 1 count 4 : !flow.stream<i32, 4, 2, 4>
  // CHECK-NEXT: %[[B:.*]] = flow.gather @"a table" tile 0 byte 1 by %[[I]] limit 10 count 4 every 2
  // CHECK-SAME: : !flow.stream<i32, 4, 2, 4> -> !flow.stream<i8, 4, 2, 1>
  // CHECK-NEXT: flow.write %[[B]] to @y tile 0 row 0 step 1 count 4 every 2 byte 3 window [2, 4] : !flow.stream<i8, 4, 2, 1>
  flow.trip "rows" {
    %i = flow.read @t.1 tile 0 row 0 step 1 count 4 : !flow.stream<i32, 4, 2, 4>
    %b = flow.gather @"a table" tile 0 byte 1 by %i limit 10 count 4 every 2
      : !flow.stream<i32, 4, 2, 4> -> !flow.stream<i8, 4, 2, 1>
    flow.write %b to @y tile 0 row 0 step 1 count 4 every 2 byte 3 window [2, 4] : !flow.stream<i8, 4, 2, 1>
  }
}

// CHECK: flow.program lanes 8 {
// CHECK-NEXT: flow.buffer @s state in sram stripes 2 segments [0] spare 1 sides "e" : tensor<7x8xf16>
flow.program lanes 8 {
  flow.buffer @s state in sram stripes 2 segments [0] spare 1 sides "e" : tensor<7x8xf16>
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<2x8xf16>
  flow.buffer @i input in sram stripes 1 segments [0] : tensor<2x1xi32>
  // CHECK: flow.scatter %{{.*}} to @s segment 0 tile 0 stripe 1 by %{{.*}} limit 5 count 2 : !flow.stream<f16, 2, 1, 2>, !flow.stream<i32, 2, 1, 4>
  flow.trip "keys" {
    %x = flow.read @x tile 0 row 0 step 1 count 2 : !flow.stream<f16, 2, 1, 2>
    %i = flow.read @i tile 0 row 0 step 1 count 2 : !flow.stream<i32, 2, 1, 4>
    flow.scatter %x to @s segment 0 tile 0 stripe 1 by %i limit 5 count 2 : !flow.stream<f16, 2, 1, 2>, !flow.stream<i32, 2, 1, 4>
  }
}

// CHECK: flow.program lanes 16 {
// CHECK-NEXT: flow.buffer @x input in sram stripes 1 segments [0] at ["sram.w0", "sram.e1"] slices [0, 1] bases [7, 0] : tensor<2xf16>
// CHECK-NEXT: flow.buffer @y output in sram stripes 1 segments [0] at ["sram.e0"] slices [0, 0] bases [1, 2] : tensor<2xf16>
// CHECK-NEXT: flow.trip "copy" start 5 slots ["sram.w0.rd", "sram.e0.wr"] streams ["e12"] {
flow.program lanes 16 {
  flow.buffer @x input in sram stripes 1 segments [0] at ["sram.w0", "sram.e1"] slices [0, 1] bases [7, 0] : tensor<2xf16>
  flow.buffer @y output in sram stripes 1 segments [0] at ["sram.e0"] slices [0, 0] bases [1, 2] : tensor<2xf16>
  flow.trip "copy" start 5 slots ["sram.w0.rd", "sram.e0.wr"] streams ["e12"] {
    %b = flow.read @x tile 0 row 0 step 0 count 1 byte 0 : !flow.stream<i8, 1, 1, 1>
    flow.write %b to @y tile 0 row 0 step 0 count 1 every 1 byte 1 : !flow.stream<i8, 1, 1, 1>
  }
}
