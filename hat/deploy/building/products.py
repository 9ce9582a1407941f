"""Which matrix products there are, by the precision of a bundle; all offer the methods of Float32Products."""

from hat.deploy.building.float32_products import OUTPUT_PRODUCT, Float32Products, Ranges
from hat.deploy.building.int8_products import Int8Products, SingleRowProducts
from hat.deploy.building.narrow_products import BFloat16Products, Float16Products, Int4Products, KMeans4Products

__all__ = ["OUTPUT_PRODUCT", "PRODUCTS", "SINGLE_ROW_PRODUCTS", "Float32Products", "Products", "Ranges"]

Products = Float32Products | Int8Products
PRODUCTS: dict[str, type[Products]] = {
    "fp32": Float32Products,
    "int8": Int8Products,
    "fp16": Float16Products,
    "bf16": BFloat16Products,
    "int4": Int4Products,
    "kmeans4": KMeans4Products,
}
# Where a single row has faster ones of its own.
SINGLE_ROW_PRODUCTS: dict[str, type[Products]] = {"int8": SingleRowProducts}
