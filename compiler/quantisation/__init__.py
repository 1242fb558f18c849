"""Post-training quantisation to int8: samples are run through the float graph, and each tensor that goes into a product
gets the scale that fits what was seen.

`samples` reads the data, `points` says which tensors, `estimate` runs the graph fast, `ranges` chooses scales, `insert` puts
quantize-dequantize pairs into the graph; the pass `integer-products` then makes integer products of them.
"""
