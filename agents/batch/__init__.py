"""Questions and answers in files: batch APIs, people, replays."""
