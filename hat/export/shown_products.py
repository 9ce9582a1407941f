"""Products that show what they take in, to be calibrated."""

from hat.deploy.building.products import OUTPUT_PRODUCT, Float32Products

INPUT = "input."  # before the name of a product, names the graph's output


class ShownProducts(Float32Products):
    """Float32 products whose inputs the graph puts out."""

    def linear(self, x: str, name: str) -> str:
        """x (rows, inputs) @ weight.T, + bias where there is one -> (rows, outputs)"""
        self._show(x, name, self._weights[f"{name}.weight"].shape[1])
        return super().linear(x, name)

    def logits(self, x: str, name: str, dim: int, product: str = OUTPUT_PRODUCT) -> str:
        """x (rows, dim) @ matrix[:, :dim].T -> (rows, vocabulary)"""
        self._show(x, product, dim)
        return super().logits(x, name, dim, product)

    def _show(self, x: str, product: str, features: int) -> None:
        shown = self._graph.node("Identity", [x], [f"{INPUT}{product}"])
        self._graph.output(shown, "float32", ["rows", features])
