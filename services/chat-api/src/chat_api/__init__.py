"""chat_api"""
