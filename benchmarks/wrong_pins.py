"""The attackers of `pin_storm`, a process of their own that imports little: it reads tokens of
devices line by line up to an empty one, guesses PINs with them until the next line comes, and
tells how many answers it got by status."""

import asyncio
import secrets
import sys
from collections import Counter

import httpx

AT_ONCE = 4
READY = "ready"


async def attack(url: str, tokens: list[str]) -> Counter[int]:
    """One guess after the other at people who do not exist, several at once from each device."""
    answers: Counter[int] = Counter()
    enough = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:

        async def guess(token: str) -> None:
            headers = {"Authorization": f"Bearer {token}"}
            while not enough.done():
                body = {"email": f"{secrets.token_hex(8)}@demo.playpark", "pin": "0000"}
                response = await http.post("/v1/employees/login", json=body, headers=headers)
                if not answers:
                    sys.stdout.write(f"{READY}\n")
                    sys.stdout.flush()
                answers[response.status_code] += 1

        await asyncio.gather(*(guess(token) for token in tokens for _ in range(AT_ONCE)))
    return answers


def main() -> None:
    tokens = list(iter(lambda: sys.stdin.readline().strip(), ""))
    answers = asyncio.run(attack(sys.argv[1], tokens))
    sys.stdout.write(" ".join(f"{status}:{times}" for status, times in answers.items()))


if __name__ == "__main__":
    main()
