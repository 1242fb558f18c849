// RUN: lockstep-opt %s -p fold-constants | filecheck %s
// RUN: lockstep-opt %s -p fold-constants --chip tiny | filecheck %s --check-prefix CHIP
// RUN: lockstep-opt %s -p "fold-constants{constant-bytes=8}" | filecheck %s --check-prefix LARGE
// RUN: lockstep-opt %s -p "fold-constants{max-bytes=8}" | filecheck %s --check-prefix LIMIT

// CHECK-LABEL: func.func @main
// LARGE-LABEL: func.func @main
// LARGE-NEXT: %[[P:.*]] = graph.param "folded.[[D:[0-9a-f]*]]" digest "[[D]]{{[0-9a-f]*}}" : tensor<3xf32>
func.func @main() {
  %x = graph.input "x" : tensor<3xf32>
  // CHECK: %[[C:.*]] = graph.constant dense<[-2.000000e+00, -4.000000e+00, -6.000000e+00]> : tensor<3xf32>
  // CHECK-NEXT: %e = graph.binary add %x, %[[C]]
  // LARGE: graph.binary add %x, %[[P]]
  // LIMIT: graph.unary neg
  %a = graph.constant dense<[1.0, 2.0, 3.0]> : tensor<3xf32>
  %b = graph.unary neg %a : tensor<3xf32>
  %c = graph.constant dense<2.0> : tensor<f32>
  %d = graph.binary mul %b, %c : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  %e = graph.binary add %x, %d : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
  graph.output "e" %e : tensor<3xf32>

  // The order of a sum is the chip's: it stays without one.
  // CHECK: %s = graph.reduce sum
  // CHIP: graph.constant dense<6.000000e+00> : tensor<f32>
  // CHIP-NOT: graph.reduce
  %s = graph.reduce sum %a axes [0] : tensor<3xf32> -> tensor<f32>
  graph.output "s" %s : tensor<f32>

  // Nothing changes here: an input, a parameter whose bytes are not at hand, a broadcast.
  // CHECK: graph.unary exp %x
  // CHECK: graph.unary neg %w
  // CHECK: graph.broadcast
  %f = graph.unary exp %x : tensor<3xf32>
  graph.output "f" %f : tensor<3xf32>
  %w = graph.param "w" digest "00" : tensor<3xf32>
  %n = graph.unary neg %w : tensor<3xf32>
  graph.output "n" %n : tensor<3xf32>
  %wide = graph.broadcast %a : tensor<3xf32> -> tensor<2x3xf32>
  graph.output "wide" %wide : tensor<2x3xf32>
  func.return
}
