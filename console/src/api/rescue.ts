import { at, call, send } from './client'
import { Problem } from './problem'
import type { components } from './schema'
import type { Branch, Job } from './types'

type Schemas = components['schemas']
export type Rescue = Schemas['Rescue']
export type RescueTable = Schemas['RescueTable']
export type RescueChange = Schemas['RescueChange']
export type RescueEnd = Schemas['RescueEnd']

/** How a table differs from the moment: the first of its changed rows, and how many there are of each kind. */
export type Comparison = { table: RescueTable; changes: RescueChange[]; end: RescueEnd }

/** So many changed rows are kept to be shown; all are counted. */
export const shownChanges = 500

/** Takes the lines of a comparison as they come. */
export class ComparisonReader {
  private table: RescueTable | null = null
  private end: RescueEnd | null = null
  private readonly changes: RescueChange[] = []

  line(text: string): void {
    if (text.trim() === '') return
    const event = JSON.parse(text) as Schemas['RescueEvent']
    if (event.problem) throw new Problem(event.problem)
    if (event.table) this.table = event.table
    if (event.change && this.changes.length < shownChanges) this.changes.push(event.change)
    if (event.end) this.end = event.end
  }

  result(): Comparison {
    if (!this.table || !this.end)
      throw new Problem({ code: 'unavailable', detail: 'the answer of the server was cut off', hint: 'compare again' })
    return { table: this.table, changes: this.changes, end: this.end }
  }
}

export const rescues = {
  compare: async (b: Branch, ask: Rescue, signal?: AbortSignal): Promise<Comparison> => {
    const path = at(b.project, b.name, '/rescue')
    const response = await send('POST', path, { body: ask, signal, accept: 'application/x-ndjson, application/json' })
    const reader = new ComparisonReader()
    let rest = ''
    const decoder = new TextDecoder()
    const body = response.body?.getReader()
    for (let piece = await body?.read(); piece && !piece.done; piece = await body?.read()) {
      const lines = (rest + decoder.decode(piece.value, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) reader.line(line)
    }
    reader.line(rest)
    return reader.result()
  },
  apply: (b: Branch, ask: Rescue) => call<Job>('POST', at(b.project, b.name, '/rescue/apply'), { body: ask }),
}
