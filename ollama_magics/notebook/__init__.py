"""What knows IPython or ipywidgets: magics, panel and display."""
