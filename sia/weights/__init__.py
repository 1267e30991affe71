"""The second lever: LoRA adapters for the target model, trained on public data by a plan."""
