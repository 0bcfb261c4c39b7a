"""The declaration that the handlers of the CRM add to."""

from headwater.delivery import Consumer

crm = Consumer("crm")
