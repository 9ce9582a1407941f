"""How well a language model predicts running text."""
