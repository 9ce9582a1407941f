"""Running text, word by word: corpora, vocabularies, and what `hat-prepare` leaves of them."""
