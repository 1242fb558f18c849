// RUN: lockstep-opt %s --split-input-file --verify-diagnostics --parsing-diagnostics | filecheck %s

// CHECK: there is no buffer @z
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    %a = flow.read @z tile 0 row 0 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
    flow.write %a to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<f32, 4, 1, 4>
  }
}
// -----
// CHECK: tile 1 of @x, which has 1
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    %a = flow.read @x tile 1 row 0 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
    flow.write %a to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<f32, 4, 1, 4>
  }
}
// -----
// CHECK: rows 1 … 4 of @x, which has 4
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    %a = flow.read @x tile 0 row 1 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
    flow.write %a to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<f32, 4, 1, 4>
  }
}
// -----
// CHECK: rows 0 … -3 of @x, which has 4
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    %a = flow.read @x tile 0 row 0 step -1 count 4 : !flow.stream<f32, 4, 1, 4>
    flow.write %a to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<f32, 4, 1, 4>
  }
}
// -----
// CHECK: byte 4 of @x, whose elements are f32
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    %a = flow.read @x tile 0 row 0 step 1 count 4 byte 4 : !flow.stream<i8, 4, 1, 1>
    flow.write %a to @y tile 0 row 0 step 1 count 4 every 1 byte 0 : !flow.stream<i8, 4, 1, 1>
  }
}
// -----
// CHECK: 4 streams of i32 and @x, where 4 of f32 are needed
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    %a = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<i32, 4, 1, 4>
    flow.write %a to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<i32, 4, 1, 4>
  }
}
// -----
// CHECK: nothing uses what flow.read makes
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    %a = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
  }
}
// -----
// CHECK: count is 0, must be at least 1
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    %a = flow.read @x tile 0 row 0 step 1 count 0 : !flow.stream<f32, 4, 1, 4>
    flow.write %a to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<f32, 4, 1, 4>
  }
}
// -----
// CHECK: i64 is no element type of a stream
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    %a = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<i64, 4, 1, 4>
    flow.write %a to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<i64, 4, 1, 4>
  }
}
// -----
// CHECK: flow.stream: every is 0, must be at least 1
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    %a = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<f32, 4, 0, 4>
    flow.write %a to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<f32, 4, 0, 4>
  }
}
// -----
// CHECK: the trip is empty
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
  ^bb0:
  }
}
// -----
// CHECK: flow.buffer is no node of a trip
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  }
}
// -----
// CHECK: buffers, then trips; found flow.buffer
flow.program lanes 8 {
  flow.trip "t" {
    flow.swap 0 mode i8
  }
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
}
// -----
// CHECK: lanes is 0, must be at least 1
flow.program lanes 0 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
}
// -----
// CHECK: Redefinition of symbol "x"
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
}
// -----
// CHECK: 'fzzz' is no instruction of the VXM or the SXM
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    %a = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
    %c = flow.compute "fzzz" on "vxm" (%a) count 4 every 1 : (!flow.stream<f32, 4, 1, 4>) -> !flow.stream<f32, 4, 1, 4>
    flow.write %c to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<f32, 4, 1, 4>
  }
}
// -----
// CHECK: 'read' is no instruction of the VXM or the SXM
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    %a = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
    %c = flow.compute "read" on "vxm" (%a) count 4 every 1 : (!flow.stream<f32, 4, 1, 4>) -> !flow.stream<f32, 4, 1, 4>
    flow.write %c to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<f32, 4, 1, 4>
  }
}
// -----
// CHECK: reduce is for the sxm, not for 'vxm'
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    %a = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
    %c = flow.compute "reduce" on "vxm" (%a) count 4 every 1 : (!flow.stream<f32, 4, 1, 4>) -> !flow.stream<f32, 4, 1, 4>
    flow.write %c to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<f32, 4, 1, 4>
  }
}
// -----
// CHECK: fadd has 2 operands, not 1
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    %a = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
    %c = flow.compute "fadd" on "vxm" (%a) count 4 every 1 : (!flow.stream<f32, 4, 1, 4>) -> !flow.stream<f32, 4, 1, 4>
    flow.write %c to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<f32, 4, 1, 4>
  }
}
// -----
// CHECK: select does not take these constants
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    %a = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
    %c = flow.compute "select" on "sxm.w" (%a, 1) with split = 2 count 4 every 1 : (!flow.stream<f32, 4, 1, 4>) -> !flow.stream<f32, 4, 1, 4>
    flow.write %c to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<f32, 4, 1, 4>
  }
}
// -----
// CHECK: fields of reduce are op, lanes; found lanes
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    %a = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
    %c = flow.compute "reduce" on "sxm.w" (%a) with lanes = 8 count 4 every 1 : (!flow.stream<f32, 4, 1, 4>) -> !flow.stream<f32, 4, 1, 4>
    flow.write %c to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<f32, 4, 1, 4>
  }
}
// -----
// CHECK: fields of fexp are none; found delay
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    %a = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
    %c = flow.compute "fexp" on "vxm" (%a) with delay = 1 count 4 every 1 : (!flow.stream<f32, 4, 1, 4>) -> !flow.stream<f32, 4, 1, 4>
    flow.write %c to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<f32, 4, 1, 4>
  }
}
// -----
// CHECK: delay is 32, must be in 0 … 31
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    %a = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
    %c = flow.compute "fmov" on "vxm" (%a) with delay = 32 count 4 every 1 : (!flow.stream<f32, 4, 1, 4>) -> !flow.stream<f32, 4, 1, 4>
    flow.write %c to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<f32, 4, 1, 4>
  }
}
// -----
// CHECK: mode f16 takes f16 activations, not f32
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    %a = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
    flow.feed %a plane 0 mode f16 depth 8 lane 0 accumulator 0 fresh count 4 : !flow.stream<f32, 4, 1, 4>
  }
}
// -----
// CHECK: planes [] must be one or more plane numbers
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    %a = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
    flow.load %a to [] mode i8 count 4 row 0 : !flow.stream<f32, 4, 1, 4>
  }
}
// -----
// CHECK: the index is f32, must be i32
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    %a = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
    %g = flow.gather @y tile 0 byte 0 by %a limit 4 count 4 every 1 : !flow.stream<f32, 4, 1, 4> -> !flow.stream<i8, 4, 1, 1>
    flow.write %g to @y tile 0 row 0 step 1 count 4 every 1 byte 0 : !flow.stream<i8, 4, 1, 1>
  }
}
// -----
// CHECK: stripe 2 of @s, which has 2
flow.program lanes 8 {
  flow.buffer @s state in sram stripes 2 segments [0] : tensor<8x8xf32>
  flow.buffer @i input in sram stripes 1 segments [0] : tensor<4x1xi32>
  flow.trip "t" {
    %a = flow.read @s tile 0 row 0 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
    %i = flow.read @i tile 0 row 0 step 1 count 4 : !flow.stream<i32, 4, 1, 4>
    flow.scatter %a to @s segment 0 tile 0 stripe 2 by %i limit 4 count 4 : !flow.stream<f32, 4, 1, 4>, !flow.stream<i32, 4, 1, 4>
  }
}
// -----
// CHECK: segment 1 of @s, which has 1
flow.program lanes 8 {
  flow.buffer @s state in sram stripes 2 segments [0] : tensor<8x8xf32>
  flow.buffer @i input in sram stripes 1 segments [0] : tensor<4x1xi32>
  flow.trip "t" {
    %a = flow.read @s tile 0 row 0 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
    %i = flow.read @i tile 0 row 0 step 1 count 4 : !flow.stream<i32, 4, 1, 4>
    flow.scatter %a to @s segment 1 tile 0 stripe 1 by %i limit 4 count 4 : !flow.stream<f32, 4, 1, 4>, !flow.stream<i32, 4, 1, 4>
  }
}
// -----
// CHECK: limit 5 in @s, where a stripe has 4 words
flow.program lanes 8 {
  flow.buffer @s state in sram stripes 2 segments [0] : tensor<8x8xf32>
  flow.buffer @i input in sram stripes 1 segments [0] : tensor<4x1xi32>
  flow.trip "t" {
    %a = flow.read @s tile 0 row 0 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
    %i = flow.read @i tile 0 row 0 step 1 count 4 : !flow.stream<i32, 4, 1, 4>
    flow.scatter %a to @s segment 0 tile 0 stripe 1 by %i limit 5 count 4 : !flow.stream<f32, 4, 1, 4>, !flow.stream<i32, 4, 1, 4>
  }
}
// -----
// CHECK: Expected `i8`, `f16`
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    flow.swap 0 mode f32
  }
}
// -----
// CHECK: either all buffers have places or none has
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] at ["sram.w0"] slices [0, 0, 0, 0] bases [0, 4, 8, 12] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    %a = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
    flow.write %a to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<f32, 4, 1, 4>
  }
}
// -----
// CHECK: 3 slices and 3 bases for columns of 4 places
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] at ["sram.w0"] slices [0, 0, 0] bases [0, 4, 8] : tensor<4x8xf32>
}
// -----
// CHECK: 4 places, needs 8
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] at ["sram.w0"] slices [0, 0, 0, 0] bases [0, 4, 8, 9] : tensor<4x16xf32>
}
// -----
// CHECK: slices [0, 1, 0, 0] are not all in a list of 1
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] at ["sram.w0"] slices [0, 1, 0, 0] bases [0, 4, 8, 9] : tensor<4x8xf32>
}
// -----
// CHECK: segments [0, 4] do not rise from 0 to below 4 rows
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0, 4] : tensor<4x8xf32>
}
// -----
// CHECK: sides has 1 letters, needs 2
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] sides "w" : tensor<4x16xf32>
}
// -----
// CHECK: sides 'n' has letters other than w, e and '.'
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] sides "n" : tensor<4x8xf32>
}
// -----
// CHECK: element type f64 is not one of
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf64>
}
// -----
// CHECK: no trip has
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" start 0 slots ["a"] streams ["e0"] {
    %a = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
    flow.write %a to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<f32, 4, 1, 4>
  }
}
// -----
// CHECK: 2 streams for 1 values
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" start 0 slots ["a"] streams ["e0", "w0"] {
    %a = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
    flow.write %a to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<f32, 4, 1, 4>
  }
}
// -----
// CHECK: 'n0' is no stream
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" start 0 slots ["a"] streams ["n0"] {
    %a = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
    flow.write %a to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<f32, 4, 1, 4>
  }
}
// -----
// CHECK: start is -1, must be at least 0
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" start -1 slots ["a"] streams ["e0"] {
    %a = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
    flow.write %a to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<f32, 4, 1, 4>
  }
}
// -----
// CHECK: flow.write: window [2] must be a first lane and a number of lanes
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf32>
  flow.trip "t" {
    %a = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<f32, 4, 1, 4>
    flow.write %a to @y tile 0 row 0 step 1 count 4 every 1 window [2] : !flow.stream<f32, 4, 1, 4>
  }
}
