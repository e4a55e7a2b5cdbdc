"""Features as papers exchange them, in pickles, made tables; no pickle can run anything here."""
