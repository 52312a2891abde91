"""The playground: trained models, a database and studies in a browser, on this machine only. The verb is `serve`.

Read `app.py` first: a tab is a module that knows Gradio (`*_tab.py`) above one that does not (`*_view.py`: what is
computed and shown). `gate.py` stands before all of it and decides which requests get in. Only `app.py` and the tabs
import Gradio.
"""
