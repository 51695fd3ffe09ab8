import { cva, type VariantProps } from 'class-variance-authority'
import { LoaderCircle } from 'lucide-react'
import { Slot } from 'radix-ui'
import type { ComponentProps } from 'react'
import { cn } from './cn'

const style = cva(
  'inline-flex shrink-0 select-none items-center justify-center gap-1.5 whitespace-nowrap rounded-md font-medium transition-colors disabled:pointer-events-none disabled:opacity-50 [&_svg]:size-[1.1em] [&_svg]:shrink-0',
  {
    variants: {
      variant: {
        primary: 'bg-accent-solid text-white shadow-panel hover:bg-accent-solid/90',
        secondary: 'border border-line-strong bg-panel text-text shadow-panel hover:bg-hover',
        ghost: 'text-muted hover:bg-hover hover:text-text data-[state=open]:bg-hover',
        danger: 'bg-production-solid text-white shadow-panel hover:bg-production-solid/90',
        quiet: 'text-accent hover:underline underline-offset-3',
      },
      size: {
        sm: 'h-7 px-2.5 text-xs',
        md: 'h-8 px-3 text-sm',
        lg: 'h-10 px-4 text-base',
        icon: 'size-8 text-base',
        'icon-sm': 'size-7 text-sm',
        inline: 'h-auto p-0',
      },
    },
    defaultVariants: { variant: 'secondary', size: 'md' },
  },
)

type Props = ComponentProps<'button'> & VariantProps<typeof style> & { asChild?: boolean; busy?: boolean }

/** A button. While busy it shows that it works and takes no further press, but keeps the focus. */
export function Button({ className, variant, size, asChild, busy, children, onClick, ...props }: Props) {
  const Component = asChild ? Slot.Root : 'button'
  return (
    <Component
      type={asChild ? undefined : 'button'}
      className={cn(style({ variant, size }), busy && 'opacity-70', className)}
      aria-busy={busy || undefined}
      onClick={busy ? (event) => event.preventDefault() : onClick}
      {...props}
    >
      {asChild ? (
        children
      ) : (
        <>
          {busy && <LoaderCircle className="animate-spin" aria-hidden />}
          {children}
        </>
      )}
    </Component>
  )
}
