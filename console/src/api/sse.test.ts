import { describe, expect, it } from 'vitest'
import { EventParser } from './sse'

describe('server-sent events', () => {
  it('come whole, however the text is cut', () => {
    const text = ': hello\n\nevent: job\ndata: {"a":\ndata: 1}\n\ndata:x\r\n\r\n'
    for (let size = 1; size <= text.length; size++) {
      const parser = new EventParser()
      const events = []
      for (let i = 0; i < text.length; i += size) events.push(...parser.push(text.slice(i, i + size)))
      // The very last carriage return pair may still be waiting for what follows.
      events.push(...parser.push('\n'))
      expect(events).toEqual([
        { name: 'job', data: '{"a":\n1}' },
        { name: 'message', data: 'x' },
      ])
    }
  })

  it('that are cut off are not given out', () => {
    expect(new EventParser().push('event: job\ndata: {"state":"running"}\n')).toEqual([])
  })
})
