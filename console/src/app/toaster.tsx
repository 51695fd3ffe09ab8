import { Toaster as Sonner } from 'sonner'
import { useShownTheme } from './theme'

export function Toaster() {
  return <Sonner theme={useShownTheme()} position="bottom-right" gap={8} closeButton containerAriaLabel="Messages" />
}
