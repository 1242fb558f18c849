// RUN: lockstep-opt %s --split-input-file --verify-diagnostics --parsing-diagnostics | filecheck %s

// CHECK: inner sizes differ: 8 and 4
%a = graph.input "a" : tensor<4x8xf16>
%r = graph.matmul %a, %a : (tensor<4x8xf16>, tensor<4x8xf16>) -> tensor<4x4xf32>
// -----
// CHECK: graph.matmul: the result is f16[4, 4], the operands give f32[4, 4]
%a = graph.input "a" : tensor<4x8xf16>
%r = graph.matmul %a, %a transpose_b : (tensor<4x8xf16>, tensor<4x8xf16>) -> tensor<4x4xf16>
// -----
// CHECK: no product of f16[4, 8] and f32[8, 4]
%a = graph.input "a" : tensor<4x8xf16>
%b = graph.input "b" : tensor<8x4xf32>
%r = graph.matmul %a, %b : (tensor<4x8xf16>, tensor<8x4xf32>) -> tensor<4x4xf32>
// -----
// CHECK: precision is for f32·f32
%a = graph.input "a" : tensor<4x4xf16>
%r = graph.matmul %a, %a precision f16 : (tensor<4x4xf16>, tensor<4x4xf16>) -> tensor<4x4xf32>
// -----
// CHECK: batch sizes differ: [2] and [3]
%a = graph.input "a" : tensor<2x4x4xi8>
%b = graph.input "b" : tensor<3x4x4xi8>
%r = graph.matmul %a, %b : (tensor<2x4x4xi8>, tensor<3x4x4xi8>) -> tensor<2x4x4xi32>
// -----
// CHECK: add: element types differ: f16[4] and f32[4]
%a = graph.input "a" : tensor<4xf16>
%b = graph.input "b" : tensor<4xf32>
%r = graph.binary add %a, %b : (tensor<4xf16>, tensor<4xf32>) -> tensor<4xf32>
// -----
// CHECK: add: shapes do not broadcast: i8[4] and i8[3]
%a = graph.input "a" : tensor<4xi8>
%b = graph.input "b" : tensor<3xi8>
%r = graph.binary add %a, %b : (tensor<4xi8>, tensor<3xi8>) -> tensor<4xi8>
// -----
// CHECK: graph.binary: the result is f32[4], the operands give i8[4]
%a = graph.input "a" : tensor<4xf32>
%r = graph.binary lt %a, %a : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
// -----
// CHECK: div: the operand is i32[4], its type must be f16 or f32
%a = graph.input "a" : tensor<4xi32>
%r = graph.binary div %a, %a : (tensor<4xi32>, tensor<4xi32>) -> tensor<4xi32>
// -----
// CHECK: bitand: the operand is f32[4], its type must be i8 or i32
%a = graph.input "a" : tensor<4xf32>
%r = graph.binary bitand %a, %a : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
// -----
// CHECK: exp: the operand is i8[4], its type must be f16 or f32
%a = graph.input "a" : tensor<4xi8>
%r = graph.unary exp %a : tensor<4xi8>
// -----
// CHECK: Expected `relu`, `neg`
%a = graph.input "a" : tensor<4xf32>
%r = graph.unary tan %a : tensor<4xf32>
// -----
// CHECK: where: the condition is f32[4], its type must be i8
%a = graph.input "a" : tensor<4xf32>
%r = graph.where %a, %a, %a : (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
// -----
// CHECK: graph.cast: the result is f32[2], the operands give f32[4]
%a = graph.input "a" : tensor<4xi8>
%r = graph.cast %a : tensor<4xi8> -> tensor<2xf32>
// -----
// CHECK: quantize: the scale f32[2, 4] does not broadcast to f32[4]
%a = graph.input "a" : tensor<4xf32>
%s = graph.input "s" : tensor<2x4xf32>
%r = graph.quantize %a, %s : (tensor<4xf32>, tensor<2x4xf32>) -> tensor<4xi8>
// -----
// CHECK: requantize: the operand is i8[4], its type must be i32
%a = graph.input "a" : tensor<4xi8>
%s = graph.input "s" : tensor<f32>
%r = graph.requantize %a, %s : (tensor<4xi8>, tensor<f32>) -> tensor<4xi8>
// -----
// CHECK: sum: axis 2 of a tensor of rank 2
%a = graph.input "a" : tensor<2x4xf32>
%r = graph.reduce sum %a axes [2] : tensor<2x4xf32> -> tensor<2xf32>
// -----
// CHECK: max: axes [1, 0] must be sorted and not negative
%a = graph.input "a" : tensor<2x4xf32>
%r = graph.reduce max %a axes [1, 0] : tensor<2x4xf32> -> tensor<f32>
// -----
// CHECK: graph.reduce: the result is i8[4], the operands give i32[4]
%a = graph.input "a" : tensor<2x4xi8>
%r = graph.reduce sum %a axes [0] : tensor<2x4xi8> -> tensor<4xi8>
// -----
// CHECK: softmax: the operand is a scalar
%a = graph.input "a" : tensor<f32>
%r = graph.softmax %a : tensor<f32>
// -----
// CHECK: layernorm: the gain is f32[2], its shape must be [4]
%a = graph.input "a" : tensor<2x4xf32>
%g = graph.input "g" : tensor<2xf32>
%r = graph.layernorm %a, %g, %g eps 1.0e-05 : (tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<2x4xf32>
// -----
// CHECK: rmsnorm: the gain is i8[4], its type must be f16 or f32
%a = graph.input "a" : tensor<2x4xf32>
%g = graph.input "g" : tensor<4xi8>
%r = graph.rmsnorm %a, %g eps 1.0e-05 : (tensor<2x4xf32>, tensor<4xi8>) -> tensor<2x4xf32>
// -----
// CHECK: reshape: f32[2, 4] has 8 elements, f32[9] has 9
%a = graph.input "a" : tensor<2x4xf32>
%r = graph.reshape %a : tensor<2x4xf32> -> tensor<9xf32>
// -----
// CHECK: transpose: [0, 0] is no permutation of the 2 axes
%a = graph.input "a" : tensor<2x4xf32>
%r = graph.transpose %a [0, 0] : tensor<2x4xf32> -> tensor<2x2xf32>
// -----
// CHECK: slice: offset 1, size 2, stride 3 leave axis 1 of f32[2, 4]
%a = graph.input "a" : tensor<2x4xf32>
%r = graph.slice %a offsets [0, 1] sizes [2, 2] strides [1, 3] : tensor<2x4xf32> -> tensor<2x2xf32>
// -----
// CHECK: take: column 4 is none of the 4 of f32[2, 4]
%a = graph.input "a" : tensor<2x4xf32>
%r = graph.take %a [0, 4] : tensor<2x4xf32> -> tensor<2x2xf32>
// -----
// CHECK: concat: f32[2, 4] and f32[3, 4] differ in more than axis 1
%a = graph.input "a" : tensor<2x4xf32>
%b = graph.input "b" : tensor<3x4xf32>
%r = graph.concat %a, %b axis 1 : (tensor<2x4xf32>, tensor<3x4xf32>) -> tensor<2x8xf32>
// -----
// CHECK: pad: the value is of type f16, the operand is f32[4]
%a = graph.input "a" : tensor<4xf32>
%r = graph.pad %a low [1] high [1] value(0.0 : f16) : tensor<4xf32> -> tensor<6xf32>
// -----
// CHECK: gather: the index is i8[3], its type must be i32
%a = graph.input "a" : tensor<4xf32>
%i = graph.input "i" : tensor<3xi8>
%r = graph.gather %a, %i : (tensor<4xf32>, tensor<3xi8>) -> tensor<3xf32>
// -----
// CHECK: scatter: f32[2] into f32[4, 3] at i32[2]: the rows must be f32[2, 3]
%a = graph.input "a" : tensor<4x3xf32>
%b = graph.input "b" : tensor<2xf32>
%i = graph.input "i" : tensor<2xi32>
%r = graph.scatter %b into %a at %i : (tensor<2xf32>, tensor<4x3xf32>, tensor<2xi32>) -> tensor<4x3xf32>
// -----
// CHECK: insert: 2 from 3 on leave axis 0 of f32[4]
%a = graph.input "a" : tensor<4xf32>
%b = graph.input "b" : tensor<2xf32>
%r = graph.insert %b into %a offsets [3] : (tensor<2xf32>, tensor<4xf32>) -> tensor<4xf32>
// -----
// CHECK: broadcast: shapes do not broadcast: f32[4] and f32[2, 5]
%a = graph.input "a" : tensor<4xf32>
%r = graph.broadcast %a : tensor<4xf32> -> tensor<2x5xf32>
// -----
// CHECK: every size must be known and at least 1
%a = graph.input "a" : tensor<?xf32>
// -----
// CHECK: element type f64 is not one of i8, f16, i32, f32
%a = graph.input "a" : tensor<4xf64>
// -----
// CHECK: graph.input: the name is empty
%a = graph.input "" : tensor<4xf32>
// -----
// CHECK: conv2d: i8[5, 6, 4] and i8[3, 3, 4, 8] do not fit 2 groups
%x = graph.input "x" : tensor<5x6x4xi8>
%w = graph.input "w" : tensor<3x3x4x8xi8>
%r = graph.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 2 : (tensor<5x6x4xi8>, tensor<3x3x4x8xi8>) -> tensor<3x4x8xi32>
// -----
// CHECK: maxpool2d: there are windows over the padding of i8[5, 6, 4] only
%x = graph.input "x" : tensor<5x6x4xi8>
%r = graph.maxpool2d %x kernel [2, 2] strides [1, 1] pads [2, 0, 0, 0] dilations [1, 1] : tensor<5x6x4xi8> -> tensor<6x5x4xi8>
