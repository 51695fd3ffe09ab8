/** A date with time and zone as PostgreSQL writes it with ISO dates, in its parts. */
export type Moment = { date: string; time: string; zone: string }

const form = /^(\d{4}-\d{2}-\d{2})(?: (\d{2}:\d{2}:\d{2}(?:\.\d+)?)([+-]\d{2}(?::\d{2}){0,2})?)?$/

/** Reads the text of a date or a timestamp; null for what no fields can show, such as infinity or a year before Christ. */
export function readMoment(text: string): Moment | null {
  const found = form.exec(text)
  return found ? { date: found[1] ?? '', time: found[2] ?? '', zone: found[3] ?? '' } : null
}

/** Puts the parts together again. A zone may be an offset or a name. */
export function momentText({ date, time, zone }: Moment): string {
  if (time === '') return date
  return /^[+-]/.test(zone) || zone === '' ? `${date} ${time}${zone}` : `${date} ${time} ${zone}`
}
