"""Few-shot classification of texts with a retrieval memory, from which texts and classes are deleted exactly."""
