"""Features beside the text: numbers of an utterance's voice, face or anything, by modality."""
