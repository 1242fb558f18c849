// RUN: lockstep-opt %s -p common-subexpressions | filecheck %s

// CHECK-LABEL: func.func @main
// CHECK-NEXT: %x = graph.input "x"
// CHECK-NEXT: %a = graph.unary exp %x
// CHECK-NEXT: %c = graph.binary add %a, %a
// CHECK-NEXT: graph.output "c" %c
func.func @main() {
  %x = graph.input "x" : tensor<4xf32>
  %a = graph.unary exp %x : tensor<4xf32>
  %b = graph.unary exp %x : tensor<4xf32>
  %c = graph.binary add %a, %b : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %d = graph.binary add %b, %a : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  graph.output "c" %c : tensor<4xf32>
  // CHECK-NEXT: graph.output "d" %c
  graph.output "d" %d : tensor<4xf32>

  // Not equal: another function, other axes, another type, another order of operands, a state's name.
  // CHECK-NEXT: %e = graph.unary log %x
  // CHECK-NEXT: %f = graph.binary sub %a, %e
  // CHECK-NEXT: %g = graph.binary sub %e, %a
  // CHECK-NEXT: %h = graph.cast %x : tensor<4xf32> -> tensor<4xi8>
  // CHECK-NEXT: %i = graph.cast %x : tensor<4xf32> -> tensor<4xf16>
  // CHECK-NEXT: %s = graph.state "s"
  // CHECK-NEXT: %t = graph.state "t"
  // CHECK-NEXT: graph.update "s" %f
  // CHECK-NEXT: graph.update "t" %f
  %e = graph.unary log %x : tensor<4xf32>
  %f = graph.binary sub %a, %e : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %g = graph.binary sub %e, %a : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %h = graph.cast %x : tensor<4xf32> -> tensor<4xi8>
  %i = graph.cast %x : tensor<4xf32> -> tensor<4xf16>
  %s = graph.state "s" : tensor<4xf32>
  %t = graph.state "t" : tensor<4xf32>
  graph.update "s" %f : tensor<4xf32>
  graph.update "t" %f : tensor<4xf32>
  graph.output "g" %g : tensor<4xf32>
  graph.output "h" %h : tensor<4xi8>
  graph.output "i" %i : tensor<4xf16>
  func.return
}
