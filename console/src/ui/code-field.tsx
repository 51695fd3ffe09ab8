import { Field, Input } from './field'

interface CodeFieldProps {
  value: string
  onChange: (code: string) => void
  /** A code of the app alone has six digits; where a recovery code does as well it may be longer. */
  recovery?: boolean
}

/** Where the code of an authenticator is typed; browsers and phones offer it by themselves. */
export function CodeField({ value, onChange, recovery = false }: CodeFieldProps) {
  return (
    <Field label="Code" hint={recovery ? 'Of your authenticator; a recovery code does as well.' : undefined}>
      {(ids) => (
        <Input
          {...ids}
          autoFocus
          inputMode="numeric"
          autoComplete="one-time-code"
          maxLength={recovery ? 40 : 10}
          value={value}
          onChange={(e) => onChange(e.target.value)}
          className="h-10 font-mono"
        />
      )}
    </Field>
  )
}
