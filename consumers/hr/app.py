"""The declaration that the handlers of human resources add to."""

from headwater.delivery import Consumer

hr = Consumer("hr")
