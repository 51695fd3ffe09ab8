/** One server-sent event. */
export type ServerEvent = { name: string; data: string }

/**
 * Takes text as it comes and gives out the events that are complete. EventSource cannot send an Authorization header, which
 * is why this is written out.
 */
export class EventParser {
  private rest = ''
  private name = 'message'
  private data: string[] = []

  push(text: string): ServerEvent[] {
    const out: ServerEvent[] = []
    this.rest += text
    for (;;) {
      const end = this.rest.search(/\r\n|\n|\r/)
      // A carriage return at the very end may be the first half of a line end.
      if (end < 0 || (this.rest[end] === '\r' && end === this.rest.length - 1)) return out
      const line = this.rest.slice(0, end)
      this.rest = this.rest.slice(end + (this.rest.startsWith('\r\n', end) ? 2 : 1))
      const event = this.line(line)
      if (event) out.push(event)
    }
  }

  private line(line: string): ServerEvent | null {
    if (line === '') {
      const event = this.data.length > 0 ? { name: this.name, data: this.data.join('\n') } : null
      this.name = 'message'
      this.data = []
      return event
    }
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    let value = colon < 0 ? '' : line.slice(colon + 1)
    if (value.startsWith(' ')) value = value.slice(1)
    if (field === 'event') this.name = value
    if (field === 'data') this.data.push(value)
    return null
  }
}

/** Reads the events of a stream until it ends. */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const parser = new EventParser()
  const decoder = new TextDecoder()
  const reader = body.getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield* parser.push(decoder.decode(value, { stream: true }))
    }
  } finally {
    reader.cancel().catch(() => {})
  }
}
