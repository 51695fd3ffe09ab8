package api

// MCPPath is the agents' door. It speaks the Model Context Protocol and is no operation of this API.
const MCPPath = "/mcp"
