// RUN: lockstep-opt %s --chip tiny -p lower-to-flow --split-input-file --verify-diagnostics | filecheck %s
// RUN: lockstep-opt %s --chip tiny -p lower-to-flow{fuse-limit=1} --split-input-file --verify-diagnostics | filecheck %s --check-prefix SHORT

// Two operations share a trip; a number that all elements share is a constant of the operation. The place comes along.
// CHECK: flow.program lanes 8 {
// CHECK-NEXT: flow.buffer @x input in sram stripes 1 segments [0] : tensor<4x8xf16>
// CHECK-NEXT: flow.buffer @y output in sram stripes 1 segments [0] : tensor<4x8xf16>
// CHECK-NEXT: flow.trip "model.lks:7:3: binary add" {
// CHECK-NEXT: %[[X:.*]] = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<f16, 4, 1, 2>
// CHECK-NEXT: %[[E:.*]] = flow.compute "fexp" on "vxm" (%[[X]]) count 4 every 1
// CHECK-NEXT: %[[R:.*]] = flow.compute "fadd" on "vxm" (%[[E]], 0x3F800000) count 4 every 1
// CHECK-NEXT: flow.write %[[R]] to @y tile 0 row 0 step 1 count 4 every 1
// CHECK-NEXT: }

// One operation a trip: the value in between goes through memory.
// SHORT: flow.buffer @"%t" temporary in sram stripes 1 segments [0] : tensor<4x8xf16>
// SHORT: flow.trip "unary exp" {
// SHORT: flow.write %{{.*}} to @"%t"
// SHORT: flow.trip "model.lks:7:3: binary add" {
// SHORT-NEXT: flow.read @"%t"
func.func @main() {
  %x = graph.input "x" : tensor<4x8xf16>
  %one = graph.constant dense<1.0> : tensor<f16>
  %e = graph.unary exp %x : tensor<4x8xf16>
  %r = graph.binary add %e, %one : (tensor<4x8xf16>, tensor<f16>) -> tensor<4x8xf16> loc("model.lks":7:3)
  graph.output "y" %r : tensor<4x8xf16>
  func.return
}
// -----
// Weights go to the plane of their side by way of the shadow buffer.
// CHECK: flow.buffer @"%w" constant in rram stripes 2 segments [0] sides "w" digest "{{[0-9a-f]+}}" : tensor<8x4xi8>
// CHECK: flow.read_block @"%w" tile 0 row 0 count 8 rows_per_cycle 2
// CHECK-NEXT: flow.load %{{.*}} to [{{.*}}] mode i8 count 8 row 0 : !flow.stream<i8, 4, 1, 2>
// CHECK: flow.swap {{.*}} mode i8
// CHECK: flow.feed %{{.*}} plane {{.*}} mode i8 depth 8 lane 0 accumulator 0 fresh count
// SHORT: flow.feed
func.func @main() {
  %a = graph.input "a" : tensor<2x8xi8>
  %w = graph.constant dense<1> : tensor<8x4xi8>
  %m = graph.matmul %a, %w : (tensor<2x8xi8>, tensor<8x4xi8>) -> tensor<2x4xi32>
  graph.output "m" %m : tensor<2x4xi32>
  func.return
}
