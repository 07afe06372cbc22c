"""The rules, pure: no Faust, no Kafka, no clock but the one it is given (SPEC sections 4 to 7)."""
