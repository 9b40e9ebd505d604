"""What the notifier decided, as it tells over HTTP."""

from __future__ import annotations

from typing import Any

import httpx

from stack import Stack


class Pushes:
    """Reads the notifier's records with a service token."""

    def __init__(self, stack: Stack, http: httpx.AsyncClient) -> None:
        self._http = http
        self._url = stack.notifier_url + "/v1/pushes"
        self._headers = {"Authorization": f"Bearer {stack.token('tests', roles=['service'])}"}

    async def of(self, user_id: str) -> list[dict[str, Any]]:
        """Every record about one user, oldest first."""
        response = await self._http.get(self._url, params={"user_id": user_id}, headers=self._headers)
        assert response.status_code == 200, response.text
        found = response.json()["pushes"]
        assert isinstance(found, list)
        return found

    async def sent_to(self, user_id: str) -> list[dict[str, Any]]:
        """The pushes that were handed to the provider."""
        return [push for push in await self.of(user_id) if push["state"] == "sent"]
