"""How a payment method is called on paper."""

from playpark.contracts.pricing import PaymentMethod

METHODS: dict[str, str] = {
    PaymentMethod.CASH: "เงินสด Cash",
    PaymentMethod.QR: "พร้อมเพย์ QR",
    PaymentMethod.CARD: "บัตร Card",
    PaymentMethod.OTHER: "อื่น ๆ Other",
}
