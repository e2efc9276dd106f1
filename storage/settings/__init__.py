"""What a mitigation.toml and a study.toml may say, read and checked."""
