"""Speech: requests validated, spoken at once or later, listened to, measured."""
