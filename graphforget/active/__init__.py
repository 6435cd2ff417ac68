"""Which elements to ask about next: labels to buy, and after a deletion retained rows to replay."""
