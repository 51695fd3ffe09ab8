import type { ProblemBody } from './types'

export type Code = ProblemBody['code']

/** A refusal of the server as RFC 9457 tells it, or the failure to reach the server at all. */
export class Problem extends Error {
  readonly code: Code
  readonly status: number
  readonly hint: string
  readonly fields: readonly { location: string; message: string }[]

  constructor(body: Partial<ProblemBody> & { detail: string; code: Code }) {
    super(body.detail)
    this.name = 'Problem'
    this.code = body.code
    this.status = body.status ?? 0
    this.hint = body.hint ?? ''
    this.fields = body.fields ?? []
  }
}

/** Reads a problem out of an answer that is no success, whatever its body is. */
export async function problemOf(response: Response): Promise<Problem> {
  const body = await response.json().catch(() => null)
  if (body && typeof body.code === 'string') {
    return new Problem({ ...body, detail: body.detail || body.title || response.statusText })
  }
  return new Problem({
    code: response.status === 401 ? 'unauthenticated' : 'unavailable',
    status: response.status,
    detail: `the server answered ${response.status}, and not as a Holdfast server does`,
    hint: 'check what stands between this page and the server',
  })
}

export function unreachable(): Problem {
  return new Problem({
    code: 'unavailable',
    detail: 'the server cannot be reached',
    hint: 'check that holdfast serve is running; this page goes on by itself when it is',
  })
}

/** Makes a problem of whatever was thrown, so that it can be shown. */
export function asProblem(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown
  const text = thrown instanceof Error ? thrown.message : String(thrown)
  return new Problem({ code: 'internal', detail: text || 'something went wrong in this page' })
}
