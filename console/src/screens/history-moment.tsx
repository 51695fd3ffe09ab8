import { moment } from '@/lib/format'
import { exactly, fieldOf } from '@/lib/moments'
import { Button } from '@/ui/button'
import { Field, Input } from '@/ui/field'

const steps: [number, string][] = [
  [-60, '−1 min'],
  [-1, '−1 s'],
  [1, '+1 s'],
  [60, '+1 min'],
]

/** A moment to the second with its zone: picked, stepped, or said in words that the server reads. */
export function MomentFields({ at, onAt }: { at: string; onAt: (at: string) => void }) {
  const exact = exactly(at)
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone
  const offset = moment(exact ?? new Date()).slice(20)
  return (
    <div className="grid gap-4 sm:grid-cols-2">
      <Field label="Date and time" hint={`In this browser’s zone: ${zone}, ${offset}.`}>
        {(ids) => (
          <Input
            {...ids}
            type="datetime-local"
            step={1}
            value={exact ? fieldOf(exact) : ''}
            onChange={(e) => {
              const picked = new Date(e.target.value)
              if (!Number.isNaN(picked.getTime())) onAt(moment(picked))
            }}
          />
        )}
      </Field>
      <Field label="The moment" hint="To the second, with its zone; or “10 minutes ago”, or checkpoint:ID.">
        {(ids) => <Input {...ids} value={at} placeholder={moment(new Date())} onChange={(e) => onAt(e.target.value)} />}
      </Field>
      {exact && (
        <div className="flex flex-wrap gap-1">
          {steps.map(([seconds, name]) => (
            <Button key={name} size="sm" onClick={() => onAt(moment(new Date(exact.getTime() + seconds * 1000)))}>
              {name}
            </Button>
          ))}
        </div>
      )}
    </div>
  )
}
