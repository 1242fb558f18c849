// RUN: lockstep-opt %s --chip tiny -p place-memory | filecheck %s
// RUN: lockstep-opt %s --chip tiny -p place-memory,schedule,place-memory | filecheck %s

// Each byte of a value has a slice of its own, for they are read at once; a side that is fixed stays. What is read and
// what is written in one trip lie in different slices, and low bits of bases alternate from slice to slice. An old schedule does not outlive the places it was made for.
// CHECK: flow.buffer @x input in sram stripes 1 segments [0] at ["sram.[[A:[we][0-9]]]", "sram.[[B:[we][0-9]]]"] slices [0, 1] bases [0, 1] : tensor<4x8xf16>
// CHECK-NEXT: flow.buffer @w param in rram stripes 2 segments [0] sides "w" digest "9f" at ["rram.w0", "rram.w1"] slices [0, 1] bases [0, 0]
// CHECK-NEXT: flow.buffer @y output in sram stripes 1 segments [0] at
// CHECK-NOT: "sram.[[A]]"
// CHECK-NOT: "sram.[[B]]"
// CHECK-SAME: slices [0, 1] bases [1, 0] : tensor<4x8xf16>
// CHECK: flow.trip "copy" {
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf16>
  flow.buffer @w param in rram stripes 2 segments [0] sides "w" digest "9f" : tensor<8x8xi8>
  flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf16>
  flow.trip "copy" {
    %x = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<f16, 4, 1, 2>
    flow.write %x to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<f16, 4, 1, 2>
  }
}
