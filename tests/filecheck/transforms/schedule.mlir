// RUN: lockstep-opt %s --chip tiny -p schedule | filecheck %s
// RUN: lockstep-opt %s --chip tiny -p schedule,schedule | filecheck %s

// The second trip reads what the first writes and waits for it, word by word; the third waits for nobody. Places stay, and
// a schedule that is made again is the same.
// CHECK: flow.buffer @x input in sram stripes 1 segments [0] at ["sram.w1"] slices [0] bases [0] : tensor<4x8xi8>
// CHECK: flow.trip "first" start 0 slots ["sram.w1.rd", "vxm.0", "sram.e1.wr"] streams ["e0", "e1"] {
// CHECK-NEXT: %[[X:.*]] = flow.read @x
// CHECK: flow.trip "second" start {{[1-9][0-9]*}} slots ["sram.e1.rd", "sram.w2.wr"] streams ["w{{[0-9]+}}"] {
// CHECK: flow.trip "third" start 0 slots ["sram.e3.rd", "sram.e4.wr"] streams ["e{{[0-9]+}}"] {
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] at ["sram.w1"] slices [0] bases [0] : tensor<4x8xi8>
  flow.buffer @t temporary in sram stripes 1 segments [0] at ["sram.e1"] slices [0] bases [0] : tensor<4x8xi8>
  flow.buffer @y output in sram stripes 1 segments [0] at ["sram.w2"] slices [0] bases [0] : tensor<4x8xi8>
  flow.buffer @u input in sram stripes 1 segments [0] at ["sram.e3"] slices [0] bases [0] : tensor<4x8xi8>
  flow.buffer @v output in sram stripes 1 segments [0] at ["sram.e4"] slices [0] bases [0] : tensor<4x8xi8>
  flow.trip "first" {
    %x = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<i8, 4, 1, 1>
    %n = flow.compute "isub" on "vxm" (0, %x) count 4 every 1 : (!flow.stream<i8, 4, 1, 1>) -> !flow.stream<i8, 4, 1, 1>
    flow.write %n to @t tile 0 row 0 step 1 count 4 every 1 : !flow.stream<i8, 4, 1, 1>
  }
  flow.trip "second" {
    %t = flow.read @t tile 0 row 0 step 1 count 4 : !flow.stream<i8, 4, 1, 1>
    flow.write %t to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<i8, 4, 1, 1>
  }
  flow.trip "third" {
    %u = flow.read @u tile 0 row 0 step 1 count 4 : !flow.stream<i8, 4, 1, 1>
    flow.write %u to @v tile 0 row 0 step 1 count 4 every 1 : !flow.stream<i8, 4, 1, 1>
  }
}
