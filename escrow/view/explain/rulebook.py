"""The rules in words, each with the laws that guard it: ids of ``laws.py``."""

from __future__ import annotations

from typing import Final

from escrow.view.explain.parts import Rule

FACT: Final = Rule(
    "fact", "what a chain or the clock says is taken in, never refused", ("INV-META-3",)
)
CONSEQUENCE: Final = Rule("consequence", "follows from the event before it in the same step")

# --- the platform ---
FRESH: Final = Rule(
    "fresh price",
    "rules use a price until it is older than the heartbeat, and none while the guardian pauses",
    ("INV-RISK-8", "INV-CLK-5", "INV-CLK-6"),
)
PRICE: Final = Rule(
    "price",
    "a price is newer than the last, recent, the median of an odd quorum, and of a wide one if it "
    "is a jump",
    ("INV-RISK-7",),
)
PAUSE: Final = Rule(
    "pause",
    "only the guardian pauses, for seven days at most, and rests as long as the last pause lasted; "
    "a pause that it ends lasts four hours more",
    ("INV-CLK-2", "INV-CLK-5", "INV-CLK-6"),
)
ROTATION: Final = Rule(
    "oracle set", "the old quorum agreed to another set and the delay passed: PriceRounds checked"
)
CLOCK: Final = Rule("clock", "time never goes back", ("INV-CLK-4",))

# --- who takes part ---
ELIGIBILITY: Final = Rule(
    "eligibility",
    "who offers, pledges, tops up or receives is let in by every rule of the loan's profile that "
    "is in force; what is not known opens no gate",
    ("INV-ELG-1", "INV-ELG-2"),
)
ATTEST: Final = Rule(
    "evidence", "the registrar records facts of a party, and the last second they count"
)
PROFILE: Final = Rule(
    "profile", "the registrar says which rules new offers are under", ("INV-ELG-2",)
)

# --- agreement ---
OFFER: Final = Rule(
    "offer",
    "the lender offers terms that do not contradict themselves, recovery last of all",
    ("INV-AUTH-4", "INV-CLK-3"),
)
ACCEPT: Final = Rule("acceptance", "the borrower accepts before the offer expires", ("INV-CLK-3",))
LAPSE: Final = Rule(
    "end of an offer",
    "an offer ends when it expires, or a party steps back before EscrowBook knows the loan",
    ("INV-CLK-3",),
)
OPEN: Final = Rule("opening", "EscrowBook opens what both signed, before it expires")
CANCEL: Final = Rule(
    "cancellation",
    "what was never drawn the borrower may cancel, and after the draw window anyone",
    ("INV-WF-4",),
)

# --- money ---
DRAW: Final = Rule(
    "draw",
    "the borrower draws within the window, up to the principal, and leaves the LTV at the initial "
    "level or below",
    ("INV-RISK-15", "INV-RISK-8"),
)
REPAY: Final = Rule(
    "repayment",
    "anyone repays at any time, interest first, without a price; nothing above the debt is taken",
    ("INV-RISK-11", "INV-WF-2", "INV-LED-5"),
)
WITHDRAW: Final = Rule(
    "withdrawal",
    "before maturity the borrower takes back what leaves the LTV at the initial level or below",
    ("INV-RISK-15", "INV-RISK-8", "INV-WF-4"),
)
REFINANCE: Final = Rule(
    "refinancing",
    "new terms that both signed settle a healthy debt within their principal and initial level",
    ("INV-RISK-15", "INV-RISK-8", "INV-LED-5"),
)
TOP_UP: Final = Rule(
    "pledge", "the borrower pledges free tokens of this vault to a live loan", ("INV-TOK-4",)
)

# --- margin ---
CALL: Final = Rule(
    "margin call",
    "an active loan is called when its LTV is at the call level or above on a fresh price",
    ("INV-RISK-8", "INV-CLK-1"),
)
CURE: Final = Rule(
    "cure",
    "a call is cured when the LTV is at the restore level or below on a fresh price, late or not",
    ("INV-RISK-8",),
)
EXPIRE: Final = Rule(
    "expiry of a call",
    "a call expires when its cure time is over on the active clock, with the LTV at the call level "
    "or above, and no dispute open",
    ("INV-RISK-3", "INV-RISK-8", "INV-CLK-1"),
)
DISPUTE: Final = Rule(
    "dispute", "the borrower disputes a call once; it does not expire until that is decided"
)
RESOLVE: Final = Rule(
    "decision on a dispute",
    "the arbiter of the terms decides in its time; after it anyone has the call stand, with its "
    "cure time given back",
    ("INV-CLK-1", "INV-CLK-3"),
)

# --- liquidation ---
SEIZURE: Final = Rule(
    "liquidation",
    "collateral is realised at the liquidation level or above, after an expired call, or in "
    "default; on a fresh price, in the way that the terms chose",
    (
        "INV-RISK-2",
        "INV-RISK-3",
        "INV-RISK-4",
        "INV-RISK-5",
        "INV-RISK-6",
        "INV-RISK-8",
        "INV-RISK-12",
        "INV-WF-1",
        "INV-WF-2",
        "INV-WF-3",
    ),
)
AUCTION: Final = Rule(
    "auction",
    "in an auction the price of the coins falls from its start until it is stale, then anew",
    ("INV-RISK-14", "INV-RISK-2", "INV-RISK-3", "INV-RISK-8"),
)

# --- servicing ---
NOTICE: Final = Rule(
    "notice",
    "the borrower is told when a fresh price puts the LTV at a notice level of the plan or above",
    ("INV-SRV-2",),
)
STANDING: Final = Rule(
    "standing",
    "what the plan asked for and was not paid by its second is overdue; then grace runs out",
    ("INV-SRV-2",),
)
IMPAIR: Final = Rule(
    "impairment", "the lender may hold a serviced loan for impaired: all is due", ("INV-SRV-2",)
)
DEFAULT: Final = Rule(
    "declared default",
    "after grace and delinquency the lender may declare default; coins wait for the book's time",
    ("INV-SRV-1", "INV-SRV-2"),
)

# --- coins and tokens ---
SIGHTING: Final = Rule(
    "coin on Bitcoin", "an output to the vault counts as far as it is confirmed", ("INV-SAT-2",)
)
FINAL: Final = Rule(
    "finality",
    "a coin or a payout is final once it has the confirmations of the terms",
    ("INV-TOK-6", "INV-TOK-7"),
)
MINT: Final = Rule(
    "mint",
    "attestors mint for a final coin, once, exactly its sats, with the vault's reserves behind it",
    ("INV-TOK-1", "INV-TOK-6", "INV-TOK-8", "INV-AUTH-7"),
)
BURN: Final = Rule(
    "burn",
    "a holder burns free tokens, no dust, for a standard output: burn before coins",
    ("INV-TOK-6", "INV-TOK-3"),
)
RETIRE: Final = Rule(
    "retirement",
    "attestors retire, once, all the tokens that stood on a coin that is gone",
    ("INV-TOK-1", "INV-TOK-3", "INV-AUTH-7"),
)
PAYOUT: Final = Rule(
    "payout",
    "the quorum of the custody policy pays exactly what was burned for, less the miner's fee, "
    "within the bound of the terms",
    ("INV-SAT-1", "INV-SAT-3", "INV-SAT-4", "INV-AUTH-3", "INV-TOK-6"),
)
BUMP: Final = Rule(
    "replacement",
    "a payout replaces one whose coin it spends, at a fee within the bound and what it pays",
    ("INV-CH-4", "INV-SAT-3"),
)
SWEEP: Final = Rule(
    "sweep", "a sweep pays nobody and brings back to the vault what it takes", ("INV-SAT-5",)
)
STUCK: Final = Rule("stuck payout", "a payout is stuck once six blocks passed it by")
REKEY: Final = Rule(
    "new key", "borrower and lender sign for a new vault while no payout is on its way"
)
RECOVER: Final = Rule(
    "recovery",
    "from the recovery time on the borrower alone takes the coins (time lock of the vault)",
    ("INV-AUTH-8", "INV-AUTH-4", "INV-CLK-3"),
)
ENDED: Final = Rule(
    "end", "a loan is over when no claim, no coin and no payout is open", ("INV-WF-4",)
)
INCIDENT: Final = Rule(
    "incident", "a fact that the rules would have refused is noted with its code", ("INV-META-3",)
)

RULES: Final = tuple(each for each in list(globals().values()) if isinstance(each, Rule))
"""Every rule, in the order of this page."""
