// RUN: lockstep-opt %s -p casts-at-users | filecheck %s

// A conversion that reading does as well stands before each user that reads so; others keep the one that was there.
// CHECK-LABEL: func.func @main
// CHECK-NEXT: %x = graph.input "x"
// CHECK-NEXT: %y = graph.input "y"
// CHECK-NEXT: %0 = graph.cast %x : tensor<4xf16> -> tensor<4xf32>
// CHECK-NEXT: %a = graph.binary mul %0, %0
// CHECK-NEXT: %1 = graph.cast %x : tensor<4xf16> -> tensor<4xf32>
// CHECK-NEXT: %b = graph.binary add %1, %y
// CHECK-NEXT: graph.output "a" %a
// CHECK-NEXT: graph.output "b" %b
func.func @main() {
  %x = graph.input "x" : tensor<4xf16>
  %y = graph.input "y" : tensor<4xf32>
  %wide = graph.cast %x : tensor<4xf16> -> tensor<4xf32>
  %a = graph.binary mul %wide, %wide : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %b = graph.binary add %wide, %y : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  graph.output "a" %a : tensor<4xf32>
  graph.output "b" %b : tensor<4xf32>

  // A sum over an axis and an output read memory as it is.
  // CHECK-NEXT: %kept = graph.cast %x : tensor<4xf16> -> tensor<4xf32>
  // CHECK-NEXT: %c = graph.reduce sum %kept
  // CHECK-NEXT: %2 = graph.cast %x : tensor<4xf16> -> tensor<4xf32>
  // CHECK-NEXT: %d = graph.unary exp %2
  // CHECK-NEXT: graph.output "kept" %kept
  %kept = graph.cast %x : tensor<4xf16> -> tensor<4xf32>
  %c = graph.reduce sum %kept axes [0] keepdims : tensor<4xf32> -> tensor<1xf32>
  %d = graph.unary exp %kept : tensor<4xf32>
  graph.output "kept" %kept : tensor<4xf32>
  graph.output "c" %c : tensor<1xf32>
  graph.output "d" %d : tensor<4xf32>

  // Narrower is no reading.
  // CHECK: %n = graph.cast %y : tensor<4xf32> -> tensor<4xf16>
  // CHECK-NEXT: %e = graph.binary add %n, %x
  // CHECK-NEXT: %f = graph.binary sub %n, %x
  %n = graph.cast %y : tensor<4xf32> -> tensor<4xf16>
  %e = graph.binary add %n, %x : (tensor<4xf16>, tensor<4xf16>) -> tensor<4xf16>
  %f = graph.binary sub %n, %x : (tensor<4xf16>, tensor<4xf16>) -> tensor<4xf16>
  graph.output "e" %e : tensor<4xf16>
  graph.output "f" %f : tensor<4xf16>
  func.return
}
