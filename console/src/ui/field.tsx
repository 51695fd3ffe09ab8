import { Check, ChevronDown } from 'lucide-react'
import { Checkbox as RadixCheckbox, Select as RadixSelect } from 'radix-ui'
import { type ComponentProps, type ReactNode, useId } from 'react'
import { nonce } from '@/lib/nonce'
import { cn } from './cn'

export const control =
  'h-8 w-full min-w-0 rounded-md border border-line-strong bg-panel px-2.5 text-sm shadow-panel outline-none transition-[border-color,box-shadow] placeholder:text-faint focus-visible:border-accent focus-visible:ring-3 focus-visible:ring-accent/20 disabled:opacity-50 aria-invalid:border-production aria-invalid:ring-production/15 max-sm:text-lg'

export function Input({ className, ...props }: ComponentProps<'input'>) {
  return <input className={cn(control, className)} autoComplete="off" spellCheck={false} {...props} />
}

type FieldProps = {
  label: ReactNode
  hint?: ReactNode
  error?: ReactNode
  children: (ids: { id: string; 'aria-describedby': string | undefined; 'aria-invalid': true | undefined }) => ReactNode
}

/** A control with its label, what it means, and what is wrong with it. */
export function Field({ label, hint, error, children }: FieldProps) {
  const id = useId()
  const about = error || hint ? `${id}-about` : undefined
  return (
    <div className="flex min-w-0 flex-col gap-1.5">
      <label htmlFor={id} className="font-medium text-sm">
        {label}
      </label>
      {children({ id, 'aria-describedby': about, 'aria-invalid': error ? true : undefined })}
      {about && (
        <p id={about} className={cn('text-xs', error ? 'text-production' : 'text-faint')}>
          {error || hint}
        </p>
      )}
    </div>
  )
}

type SelectProps = {
  value: string
  onValueChange: (value: string) => void
  options: { value: string; label: ReactNode; disabled?: boolean }[]
  id?: string
  className?: string
  disabled?: boolean
  'aria-label'?: string
}

export function Select({ value, onValueChange, options, className, disabled, ...props }: SelectProps) {
  return (
    <RadixSelect.Root value={value} onValueChange={onValueChange} disabled={disabled}>
      <RadixSelect.Trigger
        className={cn(control, 'flex items-center justify-between gap-2 text-left hover:bg-hover', className)}
        {...props}
      >
        <span className="truncate">
          <RadixSelect.Value />
        </span>
        <ChevronDown className="size-3.5 shrink-0 text-faint" aria-hidden />
      </RadixSelect.Trigger>
      <RadixSelect.Portal>
        <RadixSelect.Content
          position="popper"
          sideOffset={4}
          collisionPadding={8}
          className="z-50 max-h-(--radix-select-content-available-height) min-w-(--radix-select-trigger-width) animate-rise overflow-hidden rounded-lg border border-line bg-raised shadow-float"
        >
          <RadixSelect.Viewport nonce={nonce()} className="p-1">
            {options.map((option) => (
              <RadixSelect.Item
                key={option.value}
                value={option.value}
                disabled={option.disabled}
                className="flex items-center gap-2 rounded-md py-1.5 pr-2 pl-7 text-sm outline-none data-[disabled]:opacity-45 data-[highlighted]:bg-hover"
              >
                <RadixSelect.ItemIndicator className="absolute left-3">
                  <Check className="size-3.5 text-accent" />
                </RadixSelect.ItemIndicator>
                <RadixSelect.ItemText>{option.label}</RadixSelect.ItemText>
              </RadixSelect.Item>
            ))}
          </RadixSelect.Viewport>
        </RadixSelect.Content>
      </RadixSelect.Portal>
    </RadixSelect.Root>
  )
}

type CheckboxProps = {
  checked: boolean
  onCheckedChange: (checked: boolean) => void
  label: ReactNode
  hint?: ReactNode
}

export function Checkbox({ checked, onCheckedChange, label, hint }: CheckboxProps) {
  const id = useId()
  return (
    <div className="flex items-start gap-2.5">
      <RadixCheckbox.Root
        id={id}
        checked={checked}
        onCheckedChange={(state) => onCheckedChange(state === true)}
        aria-describedby={hint ? `${id}-about` : undefined}
        className="mt-0.5 grid size-4 shrink-0 place-items-center rounded border border-line-strong bg-panel data-[state=checked]:border-accent-solid data-[state=checked]:bg-accent-solid"
      >
        <RadixCheckbox.Indicator>
          <Check className="size-3 text-white" strokeWidth={3} />
        </RadixCheckbox.Indicator>
      </RadixCheckbox.Root>
      <div>
        <label htmlFor={id} className="font-medium text-sm">
          {label}
        </label>
        {hint && (
          <p id={`${id}-about`} className="text-faint text-xs">
            {hint}
          </p>
        )}
      </div>
    </div>
  )
}
