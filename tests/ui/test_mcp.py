"""The named endpoints as tools of the Model Context Protocol, for assistants; needs the extra "mcp"."""

from __future__ import annotations

import asyncio
import base64
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from support.browser import App
from vae_core import load_run
from vae_core.inference import decode_latents
from vae_core.pictures import to_grey

pytest.importorskip("mcp", reason="the extra mcp is not installed")


def test_an_assistant_finds_the_tools_and_decodes_a_vector(small_mnist: Path, tmp_path: Path) -> None:
    environment = os.environ | {"MNIST_DIR": str(small_mnist), "GRADIO_MCP_SERVER": "True"}
    # Not warm: as it is imported, Gradio's MCP server reads where its temporary folder is, each app's own.
    server = App(tmp_path / "runs", environment, is_warm=False)
    try:
        tools, content = asyncio.run(ask(f"{server.url}/gradio_api/mcp/"))
    finally:
        server.end()
    described = {tool.name: tool.inputSchema["properties"] for tool in tools}
    assert {"runs", "decode", "encode", "reconstruct", "generate", "test_errors", "start_training"} <= set(
        described
    )
    for tool in tools:
        assert tool.description.strip(), tool.name
        for name, schema in described[tool.name].items():
            assert schema["description"].endswith("."), f"{tool.name} does not say what {name} is"
    assert described["generate"]["sampler"]["enum"] == ["prior", "mixture"]
    picture = next(part for part in content if part.type == "image")
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.data))).convert("L"))
    expected = to_grey(decode_latents(load_run("reference").model, np.full((1, 16), 0.5, np.float32)))[0]
    assert np.abs(shown.astype(int) - expected).max() <= 3


async def ask(url: str) -> tuple[list[Any], list[Any]]:
    """The tools, and what "decode" gives for a vector of halves."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    elsewhere = {"X-Gradio-Server": "http://127.0.0.1:9/"}  # a caller must not choose where the tools call
    async with (
        streamablehttp_client(url, headers=elsewhere) as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        tools = (await session.list_tools()).tools
        result = await session.call_tool("decode", {"latents": [0.5] * 16})
        assert not result.isError, result.content
        return tools, result.content
