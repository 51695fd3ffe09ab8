import { X } from 'lucide-react'
import { Dialog as Radix } from 'radix-ui'
import type { ReactNode } from 'react'
import { Button } from './button'
import { cn } from './cn'

type Props = {
  open: boolean
  onOpenChange: (open: boolean) => void
  title: ReactNode
  description?: ReactNode
  children?: ReactNode
  footer?: ReactNode
  className?: string
  /** Something that marks the whole dialog, such as the bar of production. */
  banner?: ReactNode
}

function Scrim() {
  return <Radix.Overlay className="fixed inset-0 z-40 animate-fade bg-scrim" />
}

function Close({ className }: { className?: string }) {
  return (
    <Radix.Close asChild>
      <Button variant="ghost" size="icon-sm" aria-label="Close" className={className}>
        <X />
      </Button>
    </Radix.Close>
  )
}

function Heading({ title, description }: Pick<Props, 'title' | 'description'>) {
  return (
    <>
      <Radix.Title className="pr-8 font-semibold text-lg">{title}</Radix.Title>
      {description ? (
        <Radix.Description className="mt-1 text-muted text-sm" asChild>
          <div>{description}</div>
        </Radix.Description>
      ) : (
        <Radix.Description className="sr-only">{title}</Radix.Description>
      )}
    </>
  )
}

/** A question or a small form in the middle of the screen. */
export function Dialog({ open, onOpenChange, title, description, children, footer, className, banner }: Props) {
  return (
    <Radix.Root open={open} onOpenChange={onOpenChange}>
      <Radix.Portal>
        <Scrim />
        <div className="pointer-events-none fixed inset-0 z-50 grid place-items-center overflow-y-auto p-4">
          <Radix.Content
            className={cn(
              'pointer-events-auto relative w-full max-w-md animate-rise overflow-hidden rounded-xl border border-line bg-raised shadow-float outline-none',
              className,
            )}
          >
            {banner}
            <div className="p-5">
              <Heading title={title} description={description} />
              {children && <div className="mt-4">{children}</div>}
            </div>
            {footer && (
              <div className="flex flex-wrap justify-end gap-2 border-line border-t bg-sunken/60 px-5 py-3">
                {footer}
              </div>
            )}
            {/* Last, so that the focus begins at what is asked for. */}
            <Close className={cn('absolute right-4', banner ? 'top-9' : 'top-4')} />
          </Radix.Content>
        </div>
      </Radix.Portal>
    </Radix.Root>
  )
}

/** A panel that slides in from the right, or on a phone covers the screen. */
export function Sheet({ open, onOpenChange, title, description, children, className, banner }: Props) {
  return (
    <Radix.Root open={open} onOpenChange={onOpenChange}>
      <Radix.Portal>
        <Scrim />
        <Radix.Content
          className={cn(
            'fixed inset-y-0 right-0 z-50 flex w-full max-w-xl animate-slide flex-col border-line border-l bg-raised shadow-float outline-none',
            className,
          )}
        >
          {banner}
          <div className="border-line border-b px-5 py-4">
            <Heading title={title} description={description} />
          </div>
          <div className="min-h-0 flex-1 overflow-y-auto p-5">{children}</div>
          <Close className={cn('absolute right-4', banner ? 'top-9' : 'top-3.5')} />
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  )
}

/** The navigation of a phone, from the left. */
export function Drawer({ open, onOpenChange, title, children }: Props) {
  return (
    <Radix.Root open={open} onOpenChange={onOpenChange}>
      <Radix.Portal>
        <Scrim />
        <Radix.Content className="fixed inset-y-0 left-0 z-50 w-72 max-w-[85vw] animate-slide-left border-line border-r bg-panel shadow-float outline-none">
          <Radix.Title className="sr-only">{title}</Radix.Title>
          <Radix.Description className="sr-only">{title}</Radix.Description>
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  )
}
