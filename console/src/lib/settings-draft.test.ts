import { describe, expect, it } from 'vitest'
import type { Settings } from '@/api/types'
import { changeOf, staged } from './settings-draft'

const settings: Settings = {
  history_window_seconds: 0,
  idle_timeout_seconds: 300,
  connection_limit: 100,
  parameters: [
    { name: 'work_mem', value: '8MB', changed: true, settable: true },
    { name: 'jit', changed: false, settable: true },
    { name: 'fsync', value: 'on', profile: 'on', changed: false, settable: true },
  ],
}

describe('a draft of settings', () => {
  it('that changes nothing asks for nothing', () => {
    const draft = { idle: 300, connections: '100', parameters: { work_mem: '8MB', jit: null, fsync: 'on' } }
    expect(changeOf(settings, draft)).toEqual({})
    expect(staged(settings, draft)).toEqual([])
  })
  it('names only what differs', () => {
    const draft = { idle: -1, parameters: { work_mem: null, jit: 'off', fsync: 'on' } }
    expect(changeOf(settings, draft)).toEqual({ idle_timeout_seconds: -1, parameters: { work_mem: null, jit: 'off' } })
    expect(staged(settings, draft)).toEqual(['idle_timeout_seconds', 'work_mem', 'jit'])
  })
  it('leaves it to the server to refuse a limit of nothing', () => {
    expect(changeOf(settings, { connections: '' })).toEqual({ connection_limit: 0 })
  })
})
